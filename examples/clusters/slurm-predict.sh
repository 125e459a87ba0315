#!/bin/bash
# Code a table of notes in 100 jobs, at most 20 at a time, and join their files:
#   job=$(sbatch --parsable examples/clusters/slurm-predict.sh)
#   sbatch --dependency=afterok:$job --wrap="icdcode join codes.parquet"
# To repeat some: sbatch --array=7,31 examples/clusters/slurm-predict.sh
#SBATCH --job-name=icdcode-predict
#SBATCH --array=1-100%20
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

# Not SLURM_ARRAY_TASK_COUNT, which is smaller when a part of the array is repeated.
SHARDS=100
export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK

icdcode predict outputs/laptop/laptop notes.parquet --output codes.parquet \
    --shard "$SLURM_ARRAY_TASK_ID/$SHARDS"
