# What Athena reads the data lake through. It reads at once and for ever: partitions are computed, not registered.
resource "aws_glue_catalog_database" "lake" {
  for_each = local.glue_database_names

  name        = each.key
  description = "The data lake in ${local.bucket_name}."
}

resource "aws_glue_catalog_table" "events" {
  for_each = local.glue_database_names

  database_name = aws_glue_catalog_database.lake[each.key].name
  name          = "events"
  description   = "One row for each claimed event."
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    "EXTERNAL"                  = "TRUE"
    "projection.enabled"        = "true"
    "projection.dt.type"        = "date"
    "projection.dt.format"      = "yyyy-MM-dd"
    "projection.dt.range"       = "2026-01-01,NOW" # no lake is older than this system
    "projection.hour.type"      = "integer"
    "projection.hour.range"     = "0,23"
    "projection.hour.digits"    = "2"
    "storage.location.template" = "s3://${local.bucket_name}/${var.object_prefix}dt=$${dt}/hour=$${hour}/"
  }

  partition_keys {
    name    = "dt"
    type    = "string"
    comment = "day of the claim, in UTC: 2026-11-23"
  }

  partition_keys {
    name    = "hour"
    type    = "string"
    comment = "hour of the claim, in UTC: 00 to 23"
  }

  storage_descriptor {
    location      = "s3://${local.bucket_name}/${var.object_prefix}"
    input_format  = "org.apache.hadoop.mapred.TextInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"

    # An event may be any JSON value, and is to come out as it was sent. The Hive JSON SerDe wants one schema for all events.
    # The OpenX one takes any value for a string, but writes objects anew and cannot tell "1" from 1. A line always has
    # the same five names in the same order, so that a regular expression finds them, and the event is the rest, to the byte.
    # Within a JSON string each quotation mark is escaped, so that no value holds the `","` which ends it here. (?s): JSON may
    # hold U+2028 and U+0085 unescaped, which a dot would otherwise stop at.
    ser_de_info {
      name                  = "line"
      serialization_library = "org.apache.hadoop.hive.serde2.RegexSerDe"

      parameters = {
        "input.regex" = "(?s)^\\{\"event_id\":\"(.*?)\",\"claim_id\":\"(.*?)\",\"claimed_at\":\"(.*?)\",\"message_id\":\"(.*?)\",\"event\":(.*)\\}$"
      }
    }

    columns {
      name    = "event_id"
      type    = "string"
      comment = "escaped as in JSON: \\\" for a quotation mark"
    }

    columns {
      name    = "claim_id"
      type    = "string"
      comment = "UUIDv7; the object's name"
    }

    columns {
      name    = "claimed_at"
      type    = "string"
      comment = "RFC 3339, UTC; from_iso8601_timestamp(claimed_at)"
    }

    columns {
      name    = "message_id"
      type    = "string"
      comment = "SQS message that won the event"
    }

    columns {
      name    = "event"
      type    = "string"
      comment = "JSON as sent; json_extract_scalar(event, '$.name')"
    }
  }
}

locals {
  glue_database_names = toset(compact([var.glue_database_name]))
}
