# The Glue table through which Athena queries the data lake. Athena computes the partitions, so none need to be registered.
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
    "projection.dt.range"       = "2026-01-01,NOW" # no lake has objects from before 2026
    "projection.hour.type"      = "integer"
    "projection.hour.range"     = "0,23"
    "projection.hour.digits"    = "2"
    "storage.location.template" = "s3://${local.bucket_name}/${var.object_prefix}dt=$${dt}/hour=$${hour}/"
  }

  partition_keys {
    name    = "dt"
    type    = "string"
    comment = "Day of the claim, or of its pack, in UTC, for example 2026-11-23"
  }

  partition_keys {
    name    = "hour"
    type    = "string"
    comment = "Hour of the claim, or of its pack, in UTC, 00 to 23"
  }

  storage_descriptor {
    location      = "s3://${local.bucket_name}/${var.object_prefix}"
    input_format  = "org.apache.hadoop.mapred.TextInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"

    # A query must return an event exactly as it was sent, and an event may be any JSON value. The Hive JSON SerDe requires one
    # schema for all events. The OpenX SerDe reads any value as a string, but reformats objects and cannot distinguish "1" from 1.
    # A line of the lake always has the same five names in the same order, so a regular expression can split it, and the event is
    # the rest of the line, byte for byte. JSON escapes quotation marks within a string, so no value can contain the `","` that
    # ends it here. With (?s), a dot also matches U+2028 and U+0085, which JSON may contain unescaped.
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
      comment = "Escaped as in JSON: a quotation mark is \\\""
    }

    columns {
      name    = "claim_id"
      type    = "string"
      comment = "UUIDv7; the object's name, unless the object is a pack"
    }

    columns {
      name    = "claimed_at"
      type    = "string"
      comment = "RFC 3339 in UTC; parse it with from_iso8601_timestamp(claimed_at)"
    }

    columns {
      name    = "message_id"
      type    = "string"
      comment = "Id of the SQS message that won the event"
    }

    columns {
      name    = "event"
      type    = "string"
      comment = "JSON as sent; read a member with json_extract_scalar(event, '$.name')"
    }
  }
}

locals {
  glue_database_names = toset(compact([var.glue_database_name]))
}
