"""The commands of `kuleshov`, one module each, in the order of `kuleshov --help`.

A module `name` has `add_command(commands)`, which declares its options, and
`run_command(arguments)`, which does
the work and returns the exit code. Heavy imports happen inside `run_command`, so that `--help`
answers at once.
"""

COMMANDS = (
    "demo",
    "infer",
    "chat",
    "influence",
    "contrast",
    "match",
    "annotate",
    "export",
    "corrections",
    "code",
    "contexts",
    "associations",
    "agree",
    "facs",
    "labels",
    "calibrate",
    "study",
    "integrate",
    "serve",
    "models",
    "doctor",
    "forget",
    "graph",
    "schema",
    "completion",
    "eval",
    "bench",
)
