"""The commands that README.md and terraform/README.md print for a deployed stack. The end-to-end test runs each of them as printed."""

import re
from pathlib import Path

from stack_in_use import must

BOOTSTRAP = "scripts/bootstrap-backend.sh"
# The test does not run this command: it takes minutes, and has already run in the checkout.
PACKAGE = "scripts/package"
APPLY = "terraform -chdir=terraform apply -var-file=environments/dev.tfvars"
PRODUCE = "AWS_REGION=sa-east-1 cargo run -p producer -- --terraform-dir terraform"
REMOVE_GUARD = "terraform -chdir=terraform state rm module.pipeline.terraform_data.protected_see_readme_destroy"
UNPROTECT = "terraform -chdir=terraform apply -var-file=environments/dev.tfvars -var deletion_protection=false"
DESTROY = "terraform -chdir=terraform destroy -var-file=environments/dev.tfvars"

EXPECTED = {
    "README.md": [BOOTSTRAP, PACKAGE, APPLY, PRODUCE],
    "terraform/README.md": [BOOTSTRAP, PACKAGE, APPLY, PRODUCE, REMOVE_GUARD, UNPROTECT, DESTROY],
}


def deployed_blocks(document: Path) -> list[str]:
    """Returns the code blocks that are marked `sh deployed`, without indentation."""
    blocks = re.findall(r"^ *```sh deployed\n(.*?)^ *```$", document.read_text(), re.MULTILINE | re.DOTALL)
    return ["".join(f"{line.strip()}\n" if block.startswith(" ") else f"{line}\n" for line in block.splitlines()) for block in blocks]


def print_only_known_commands(checkout: Path) -> str:
    for document, expected in EXPECTED.items():
        printed = [line for line in "".join(deployed_blocks(checkout / document)).splitlines() if not line.startswith("#")]
        must(printed == expected, f"{document} prints {printed} for a deployed stack, and this test runs {expected}")
    return ", ".join(EXPECTED)
