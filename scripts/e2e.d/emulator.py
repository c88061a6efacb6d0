"""Starts ministack, an emulator of AWS that enforces IAM policies and runs the compiled functions as processes.

It listens on a loopback address with TLS, because the data lake's bucket refuses plain HTTP."""

import ipaddress
import os
import socket
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import boto3

from children import Child
from waiting import until

REGION = "sa-east-1"


class NotLoopback(Exception):
    """The endpoint is not a loopback address, so it could be a real account."""


def loopback_endpoint(given: str | None) -> str:
    """Returns `given`, or an endpoint with a free port. Accepts only an IP address, because a host name can resolve to any host."""
    if not given:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return f"https://127.0.0.1:{probe.getsockname()[1]}"
    url = urlsplit(given)
    try:
        is_loopback = ipaddress.ip_address(url.hostname or "").is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback or url.scheme != "https" or not url.port:
        raise NotLoopback(f"--endpoint must be https://<loopback address>:<port>, not {given!r}")
    return given


class Emulator:
    """A running ministack, with clients and environments for it."""

    def __init__(self, endpoint: str, folder: Path):
        url = urlsplit(endpoint)
        self.endpoint, self.log = endpoint, folder / "ministack.log"
        temporary = folder / "tmp"
        self.certificate = temporary / "ministack-tls" / "server.crt"
        for needed in (temporary, folder / "home"):
            needed.mkdir(parents=True)
        # Passes on only PATH from this script's environment. The user's credentials and endpoints must not have an effect, and the
        # functions inherit the emulator's variables.
        common = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(folder / "home"),
            "TMPDIR": str(temporary),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_CA_BUNDLE": str(self.certificate),
            "SSL_CERT_FILE": str(self.certificate),
        }
        self.client_env = common | {
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        server_env = common | {
            "BIND_HOST": url.hostname,
            "MINISTACK_HOST": url.hostname,
            "GATEWAY_PORT": str(url.port),
            "AUTH": "true",
            "USE_SSL": "1",
            "S3_DATA_DIR": str(folder / "s3"),
            "STATE_DIR": str(folder / "state"),
        }
        server = [sys.executable, "-B", Path(__file__).parent / "ministack_server.py"]
        self.process = Child(server, server_env, self.log)

    def wait_until_ready(self) -> None:
        until("the emulator answers", self._is_ready, seconds=30)

    def _is_ready(self) -> bool:
        if not self.process.is_running():
            raise RuntimeError("the emulator exited during its start")
        try:
            context = ssl.create_default_context(cafile=self.certificate)
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/ready", timeout=5, context=context) as answer:
                return answer.status == 200
        except (FileNotFoundError, ssl.SSLError, urllib.error.URLError):
            return False

    def client(self, service: str, credentials: dict | None = None, region: str = REGION):
        """Returns a boto3 client with the root credentials, or with credentials as `AssumeRole` returns them."""
        keys = credentials or {"AccessKeyId": "test", "SecretAccessKey": "test", "SessionToken": None}
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            verify=str(self.certificate),
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    def inventory(self, region: str = REGION) -> set[str]:
        """Returns the names of all resources of the kinds that terraform/ creates. Buckets and roles have no region."""
        lists = [
            ("sqs", "list_queues", "QueueUrls", None),
            ("dynamodb", "list_tables", "TableNames", None),
            ("s3", "list_buckets", "Buckets", "Name"),
            ("lambda", "list_functions", "Functions", "FunctionName"),
            ("lambda", "list_event_source_mappings", "EventSourceMappings", "UUID"),
            ("iam", "list_roles", "Roles", "RoleName"),
            ("logs", "describe_log_groups", "logGroups", "logGroupName"),
            ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
            ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
            ("sns", "list_topics", "Topics", "TopicArn"),
            ("glue", "get_databases", "DatabaseList", "Name"),
        ]
        return {
            f"{service} {operation.split('_', 1)[1]} {item if name is None else item[name]}"
            for service, operation, field, name in lists
            for item in getattr(self.client(service, region=region), operation)().get(field, [])
        }
