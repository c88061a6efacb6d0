"""Slips that would delete the stack or replace it. Terraform must refuse each of them in the plan, and then nothing may have changed."""

from deployment import Deployment
from stack_in_use import StackInUse, must

IN_USE = "lifecycle.prevent_destroy"
OTHER_STACK = "This is the state of the stack"
OTHER_BUCKET = "must keep its name"

# Each slip, as arguments of Terraform, with a part of the error that must refuse it.
SLIPS = {
    "terraform destroy": (["destroy"], IN_USE),
    "the protection switched off": (["apply", "-var", "deletion_protection=false"], IN_USE),
    "another stage": (["apply", "-var", "stage=prod"], OTHER_STACK),
    "another project": (["apply", "-var", "project=orders"], OTHER_STACK),
    # With a refresh, the emulator redirects each request for the bucket, and the provider retries it for a minute.
    "another region": (["apply", "-refresh=false", "-var", "region=eu-west-1"], OTHER_STACK),
    "another bucket": (["apply", "-var", "bucket_name=another-lake"], OTHER_BUCKET),
    "destroying another stage": (["destroy", "-var", "stage=prod"], IN_USE),
}


def are_refused(deployment: Deployment, stack: StackInUse) -> str:
    before, state = contents(stack), deployment.state("state-before-slips")
    for name, (arguments, error) in SLIPS.items():
        log = f"slip-{name.replace(' ', '-')}"
        output = deployment.refused(log, *arguments)
        must(error in " ".join(output.split()), f"{name} must be refused with {error!r}:\n{output}")
        must(contents(stack) == before, f"{name} was refused, but the stack has changed: {contents(stack)}, before: {before}")
    must(deployment.state("state-after-slips") == state, "a refused command changed the state")
    return ", ".join(SLIPS)


def contents(stack: StackInUse) -> dict[str, object]:
    """Returns the names of all resources, the settings that protect the data, and the number of dead letters."""
    table = stack.dynamodb.describe_table(TableName=stack.outputs["dynamodb_table_name"])["Table"]
    lake = {"Bucket": stack.outputs["s3_bucket_name"]}
    return {
        "resources": stack.emulator.inventory(),
        "table": (table["TableId"], table["DeletionProtectionEnabled"]),
        "policy": stack.s3.get_bucket_policy(**lake)["Policy"],
        "versioning": stack.s3.get_bucket_versioning(**lake)["Status"],
        "public access": stack.s3.get_public_access_block(**lake)["PublicAccessBlockConfiguration"],
        "encryption": stack.s3.get_bucket_encryption(**lake)["ServerSideEncryptionConfiguration"],
        "lifecycle": stack.s3.get_bucket_lifecycle_configuration(**lake)["Rules"],
        "dead letters": stack.depth(stack.outputs["sqs_dlq_url"]),
    }
