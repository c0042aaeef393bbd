"""validate.py FILE…: holds CycloneDX 1.6 files against the schema; says what is wrong, and ends with 1 if anything is."""

import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

validator = JsonStrictValidator(SchemaVersion.V1_6)
failed = False
for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as file:
        complaint = validator.validate_str(file.read())
    if complaint is not None:
        print(f"{name}: {complaint}", file=sys.stderr)
        failed = True
sys.exit(1 if failed else 0)
