"""`icdcode predict` killed by SIGKILL at some operation on its files, once or more often, and called again to the end.

A program of its own, as `killing.py`, whose ways it takes. Usage: ``python predicting.py RUN NOTES OUTPUT CHARACTERS KILLS``:
CHARACTERS of a block; KILLS as JSON: for each output, the operations to be killed at, one after the other; none: at every
single one. Prints JSON: how many operations a whole call makes, and the exit codes for each output.
"""

import json
import sys
from pathlib import Path

import torch
from killing import run

import icdcli.cli.predict
import icdcli.distributed.process_group  # noqa: F401  (all here, so that no process after the fork takes the time)
from icdcli.predict import batches as coding

if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, notes, output, characters, kills = sys.argv[1:]
    coding.BLOCK_CHARACTERS = int(characters)
    output = Path(output)

    def predict(output, kill):
        return run(
            output.parent, ["predict", folder, notes, "--device", "cpu", "--output", output], kill
        )

    code, operations = predict(output, None)
    points = json.loads(kills) or [[kill] for kill in range(1, operations + 1)]
    outputs = [output.with_name(f"{number}{output.suffix}") for number in range(len(points))]
    codes = [
        [predict(path, kill)[0] for kill in [*point, None]]
        for path, point in zip(outputs, points, strict=True)
    ]
    print(json.dumps({"code": code, "operations": operations, "codes": codes}))
