#!/usr/bin/env bash
# Makes the bucket that Terraform keeps its state in. May be run again at any time: what is there already stays as it is.
set -euo pipefail

usage() {
    cat <<'EOF'
usage: scripts/bootstrap-backend.sh [--bucket NAME] [--region REGION]

Makes an S3 bucket for Terraform's state: versioned, private, encrypted, TLS only. Then prints the `terraform init` to run.

  --bucket NAME    default: dynamo-locking-terraform-state-<account id>-<region>
  --region REGION  default: sa-east-1

Needs the AWS CLI (`aws`, version 1 or 2) with credentials that may make and configure the bucket: s3:CreateBucket,
s3:ListBucket, s3:GetBucketLocation, and s3:Get... and s3:Put... of BucketVersioning, BucketPublicAccessBlock,
EncryptionConfiguration and BucketPolicy.
EOF
}

die() {
    printf 'bootstrap-backend: %s\n' "$*" >&2
    exit 1
}

region=sa-east-1
bucket=
while (($#)); do
    case $1 in
    --bucket)
        bucket=${2:-}
        [[ -n $bucket ]] || die "--bucket needs a name (--help says more)"
        shift 2
        ;;
    --region)
        region=${2:-}
        [[ -n $region ]] || die "--region needs a region (--help says more)"
        shift 2
        ;;
    -h | --help)
        usage
        exit
        ;;
    *) die "unknown argument: $1 (--help says more)" ;;
    esac
done

command -v aws >/dev/null || die "needs the AWS CLI, which is not on the PATH"
account=$(aws sts get-caller-identity --region "$region" --query Account --output text) ||
    die "AWS does not know who is asking: check the credentials"
bucket=${bucket:-dynamo-locking-terraform-state-$account-$region}

# Every request says whose bucket it is about, so that none of them can touch another account's.
s3api() { aws s3api "$1" --region "$region" --bucket "$bucket" --expected-bucket-owner "$account" "${@:2}"; }

# Only a plain "not found" means that the bucket may be made. Everything else that is no success stops here.
if answer=$(s3api head-bucket 2>&1); then
    location=$(s3api get-bucket-location --query LocationConstraint --output text)
    [[ $location == None ]] && location=us-east-1 # S3 has no constraint for its first region
    [[ $location == "$region" ]] || die "$bucket is in $location, not in $region: give --region $location, or another --bucket"
    echo "$bucket is there already"
elif [[ $answer == *"(404)"* ]]; then
    constraint=(--create-bucket-configuration "LocationConstraint=$region")
    [[ $region == us-east-1 ]] && constraint=() # where S3 refuses to be told the region
    aws s3api create-bucket --region "$region" --bucket "$bucket" ${constraint[@]+"${constraint[@]}"} >/dev/null ||
        die "$bucket could not be made"
    aws s3api wait bucket-exists --region "$region" --bucket "$bucket"
    echo "$bucket was made"
elif [[ $answer == *"(403)"* ]]; then
    die "$bucket is somebody else's, or these credentials may not look at it: give another --bucket"
else
    die "$bucket could not be looked at: $answer"
fi

s3api put-bucket-versioning --versioning-configuration Status=Enabled
s3api put-public-access-block --public-access-block-configuration \
    BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true

# A bucket that somebody encrypts with a key of their own stays so.
if ! answer=$(s3api get-bucket-encryption 2>&1); then
    [[ $answer == *ServerSideEncryptionConfigurationNotFoundError* ]] || die "$bucket: $answer"
    s3api put-bucket-encryption --server-side-encryption-configuration \
        '{"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}'
fi

# Nor is somebody's own policy overwritten.
partition=$(aws sts get-caller-identity --region "$region" --query Arn --output text | cut -d: -f2)
policy=$(
    cat <<EOF
{"Version": "2012-10-17", "Statement": [{"Sid": "DenyInsecureTransport", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
 "Resource": ["arn:$partition:s3:::$bucket", "arn:$partition:s3:::$bucket/*"],
 "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}
EOF
)
if answer=$(s3api get-bucket-policy --query Policy --output text 2>&1); then
    [[ $answer == *aws:SecureTransport* ]] ||
        die "$bucket has a policy that does not refuse plain HTTP; add this statement to it, and run this again: $policy"
else
    [[ $answer == *NoSuchBucketPolicy* ]] || die "$bucket: $answer"
    s3api put-bucket-policy --policy "$policy"
fi

cat <<EOF
$bucket is versioned, private, encrypted and TLS only. Next:

  terraform -chdir=terraform init -backend-config=bucket=$bucket -backend-config=region=$region
EOF
