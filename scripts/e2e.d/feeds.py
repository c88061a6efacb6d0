"""Connects the deployed queue to an SNS topic and to an EventBridge rule, as terraform/examples/sns-and-eventbridge does."""

import json

from deployment import Deployment
from stack_in_use import StackInUse, must
from waiting import until

SOURCE = "shop.orders"
NAME = "dynamo-locking-feeds"


class Feeds:
    """A topic, a bus with a rule, and a topic that the queue's policy does not name."""

    def __init__(self, deployment: Deployment, stack: StackInUse):
        self.deployment, self.stack = deployment, stack
        self.sns, self.events = stack.emulator.client("sns"), stack.emulator.client("events")
        self.topic, self.stranger = (self.sns.create_topic(Name=name)["TopicArn"] for name in (NAME, f"{NAME}-stranger"))
        self.events.create_event_bus(Name=NAME)
        pattern = json.dumps({"source": [SOURCE]})
        self.rule = self.events.put_rule(Name=NAME, EventBusName=NAME, EventPattern=pattern)["RuleArn"]

    def connect(self) -> str:
        senders = {"sns_topic_arns": [self.topic], "event_rule_arns": [self.rule]}
        self.deployment.set_variables(dedup_key="/id", senders=senders)
        self.deployment.must(self.deployment.applying("feeds"))
        queue = self.stack.outputs["sqs_queue_arn"]
        for topic in (self.topic, self.stranger):
            attributes = {"RawMessageDelivery": "true"}
            self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=attributes)
        self.events.put_targets(Rule=NAME, EventBusName=NAME, Targets=[{"Id": "queue", "Arn": queue}])
        return "a topic and a rule"

    def events_are_archived_once(self) -> str:
        """Publishes one event through each feed, and delivers the same body again, as both services may do."""
        published = '{"id":"from-sns","total":12.50}'
        self.sns.publish(TopicArn=self.stranger, Message='{"id":"from-a-stranger"}')
        self.sns.publish(TopicArn=self.topic, Message=published)
        must(self._archived_body("from-sns") == published, "the event from SNS is not archived as it was published")

        entry = {"EventBusName": NAME, "Source": SOURCE, "DetailType": "order", "Detail": '{"total":7.25}'}
        event_id = self.events.put_events(Entries=[entry])["Entries"][0]["EventId"]
        delivered = self._archived_body(event_id)
        event = json.loads(delivered)
        must(
            (event["source"], event["detail-type"], event["detail"]) == (SOURCE, "order", {"total": 7.25}),
            f"the event from EventBridge is not archived as it is: {delivered}",
        )

        for id, body in {"from-sns": published, event_id: delivered}.items():
            self.stack.send_and_wait(body, "duplicate")
            keys = {line["key"] for line in self.stack.log_lines("archive_log_group") if line.get("event_id") == id}
            must(len(keys) == 1, f"{id} has the objects {sorted(keys)}")
        strangers = [line for line in self.stack.log_lines("ingest_log_group") if line.get("event_id") == "from-a-stranger"]
        must(not strangers, "a topic that the queue's policy does not name has delivered a message")
        return "each is archived as it was sent, a redelivery is a duplicate, and a topic that is not in senders delivers nothing"

    def _archived_body(self, event_id: str) -> str:
        """Waits for the event's object, and returns the event in it. The object is one line, and the event is its last member."""
        claim = until(f"{event_id} has a claim", lambda: self._claim_id(event_id), seconds=60)

        def key():
            lines = self.stack.log_lines("archive_log_group")
            return next((line["key"] for line in lines if line.get("claim_id") == claim and "key" in line), None)

        found = until(f"{event_id} is archived", key, seconds=60)
        line = self.stack.s3.get_object(Bucket=self.stack.outputs["s3_bucket_name"], Key=found)["Body"].read().decode()
        return line.partition(',"event":')[2].removesuffix("}\n")

    def _claim_id(self, event_id: str) -> str | None:
        lines = self.stack.log_lines("ingest_log_group")
        return next((line["claim_id"] for line in lines if line.get("event_id") == event_id and line["outcome"] == "won"), None)

    def remove(self) -> None:
        """Deletes what Terraform did not create."""
        self.events.remove_targets(Rule=NAME, EventBusName=NAME, Ids=["queue"])
        self.events.delete_rule(Name=NAME, EventBusName=NAME)
        self.events.delete_event_bus(Name=NAME)
        for topic in (self.topic, self.stranger):
            self.sns.delete_topic(TopicArn=topic)
