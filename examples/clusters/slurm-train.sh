#!/bin/bash
# Train on two nodes with four GPUs each: sbatch examples/clusters/slurm-train.sh
# Five minutes before the time limit, SLURM signals the tasks; icdcode saves, exits with 75, and
# the job is queued again. The same command then resumes the run.
#SBATCH --job-name=icdcode-train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@300
#SBATCH --open-mode=append

export OMP_NUM_THREADS=1

srun icdcode train configs/config.yaml device=0,1,2,3 checkpoint_every=20min --resume-if-exists
status=$?

if [ "$status" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
