"""The commands: they parse, call the public functions of `fewshot`, and print."""
