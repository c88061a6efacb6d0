#!/usr/bin/env bash
# Creates the bucket for Terraform's state. You can run the script again at any time: it keeps an existing bucket, and the bucket's
# encryption, life cycle, tags and policy.
set -euo pipefail

usage() {
    cat <<'EOF'
usage: scripts/bootstrap-backend.sh [--bucket NAME] [--region REGION]

Creates an S3 bucket for Terraform's state: versioned, private, encrypted and TLS only. S3 deletes old versions of the state and of its
lock after 90 days. Then prints the `terraform init` command to run.

  --bucket NAME    Name of the bucket [default: dynamo-locking-terraform-state-<account id>-<region>]
  --region REGION  Region of the bucket [default: sa-east-1]

Requires the AWS CLI (`aws`, version 1 or 2) with credentials that may create and configure the bucket: s3:CreateBucket,
s3:ListBucket, s3:GetBucketLocation, and s3:Get* and s3:Put* for BucketVersioning, BucketPublicAccessBlock,
EncryptionConfiguration, LifecycleConfiguration, BucketTagging and BucketPolicy.
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
        [[ -n $bucket ]] || die "--bucket requires a name (see --help)"
        shift 2
        ;;
    --region)
        region=${2:-}
        [[ -n $region ]] || die "--region requires a region (see --help)"
        shift 2
        ;;
    -h | --help)
        usage
        exit
        ;;
    *) die "unknown argument: $1 (see --help)" ;;
    esac
done

command -v aws >/dev/null || die "cannot find the AWS CLI on the PATH: install it"
account=$(aws sts get-caller-identity --region "$region" --query Account --output text) ||
    die "failed to get the account id: check the credentials"
bucket=${bucket:-dynamo-locking-terraform-state-$account-$region}

# Every request names the expected owner, so that no request can change another account's bucket.
s3api() { aws s3api "$1" --region "$region" --bucket "$bucket" --expected-bucket-owner "$account" "${@:2}"; }

# Creates the bucket only if S3 answers "not found". Any other error ends the script.
if answer=$(s3api head-bucket 2>&1); then
    location=$(s3api get-bucket-location --query LocationConstraint --output text)
    case $location in
    None | null | '') location=us-east-1 ;; # S3 returns no constraint for us-east-1
    EU) location=eu-west-1 ;;               # the constraint of eu-west-1's oldest buckets
    esac
    [[ $location == "$region" ]] || die "cannot use $bucket: it is in $location, not in $region; use --region $location or another --bucket"
    echo "$bucket already exists"
elif [[ $answer == *"(404)"* ]]; then
    constraint=(--create-bucket-configuration "LocationConstraint=$region")
    [[ $region == us-east-1 ]] && constraint=() # S3 rejects a constraint for us-east-1
    aws s3api create-bucket --region "$region" --bucket "$bucket" ${constraint[@]+"${constraint[@]}"} >/dev/null ||
        die "failed to create $bucket"
    aws s3api wait bucket-exists --region "$region" --bucket "$bucket"
    echo "created $bucket"
elif [[ $answer == *"(403)"* ]]; then
    die "cannot use $bucket: it belongs to another account, or these credentials may not read it; use another --bucket"
else
    die "failed to look up $bucket: $answer"
fi

s3api put-bucket-versioning --versioning-configuration Status=Enabled
s3api put-public-access-block --public-access-block-configuration \
    BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true

# Keeps an existing encryption setting, for example with a customer-managed key.
if ! answer=$(s3api get-bucket-encryption 2>&1); then
    [[ $answer == *ServerSideEncryptionConfigurationNotFoundError* ]] || die "failed to read the encryption of $bucket: $answer"
    s3api put-bucket-encryption --server-side-encryption-configuration \
        '{"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}'
fi

# Keeps an existing life cycle. Each lock leaves an old version and a delete marker. 90 days leave time to restore an older state.
if ! answer=$(s3api get-bucket-lifecycle-configuration 2>&1); then
    [[ $answer == *NoSuchLifecycleConfiguration* ]] || die "failed to read the life cycle of $bucket: $answer"
    s3api put-bucket-lifecycle-configuration --lifecycle-configuration \
        '{"Rules": [{"ID": "old-versions", "Status": "Enabled", "Filter": {"Prefix": ""},
          "NoncurrentVersionExpiration": {"NoncurrentDays": 90}, "Expiration": {"ExpiredObjectDeleteMarker": true},
          "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]}' >/dev/null
fi

# Keeps existing tags.
if ! answer=$(s3api get-bucket-tagging 2>&1); then
    [[ $answer == *NoSuchTagSet* ]] || die "failed to read the tags of $bucket: $answer"
    s3api put-bucket-tagging --tagging \
        'TagSet=[{Key=ManagedBy,Value=scripts/bootstrap-backend.sh},{Key=Application,Value=terraform-state}]'
fi

# Keeps an existing policy, if it refuses plain HTTP.
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
        die "cannot use $bucket: its policy does not refuse plain HTTP; add this statement to the policy and run this script again: $policy"
else
    [[ $answer == *NoSuchBucketPolicy* ]] || die "failed to read the policy of $bucket: $answer"
    s3api put-bucket-policy --policy "$policy"
fi

cat <<EOF
$bucket is versioned, private, encrypted and TLS only. Next, run:

  terraform -chdir=terraform init -backend-config=bucket=$bucket -backend-config=region=$region
EOF
