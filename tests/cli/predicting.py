"""`icdcode predict` killed by SIGKILL at operations on its files, and rerun until it ends.

A program of its own, based on `killing.py`. Usage: ``python predicting.py RUN NOTES OUTPUT
CHARACTERS KILLS``. CHARACTERS is the size of a block; KILLS is JSON: for each output, the
operations at which to kill it one after the other; or {"from": first, "every": step}: an output for
each of these operations. Prints JSON: the number of operations of a complete call, and the exit
codes for each output.
"""

import json
import sys
from pathlib import Path

import torch
from killing import run

import icdcli.cli.predict
import icdcli.distributed.process_group  # noqa: F401  (imported once, before the forks)
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
    points = json.loads(kills)
    if isinstance(points, dict):
        points = [[kill] for kill in range(points["from"], operations + 1, points["every"])]
    outputs = [output.with_name(f"{number}{output.suffix}") for number in range(len(points))]
    codes = [
        [predict(path, kill)[0] for kill in [*point, None]]
        for path, point in zip(outputs, points, strict=True)
    ]
    print(json.dumps({"code": code, "operations": operations, "codes": codes}))
