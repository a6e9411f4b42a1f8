"""Call a function of a benchmark and print what it returns as JSON: see `_common.in_child`."""

import importlib
import json
import sys

if __name__ == "__main__":
    name, function, arguments = sys.argv[1:]
    found = getattr(importlib.import_module(name), function)(*json.loads(arguments))
    if found is not None:  # other ranks than the first
        print(json.dumps(found))
