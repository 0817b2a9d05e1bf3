"""A script that answers with as many characters as it is asked for."""

import json
import sys


def main() -> None:
    sys.stdin.readline()
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.write(json.dumps({"id": asked["id"], "text": "x" * asked["size"]}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
