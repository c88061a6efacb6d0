locals {
  # RFC 6901. An empty pointer, which points to the whole body, does not match.
  pointer_form = "^(/([^~/]|~[01])*)+$"

  # The pointers in the dedup key; none if it is an attribute or the content.
  dedup_key_parts = startswith(var.dedup_key, "/") ? [var.dedup_key] : try(tolist(jsondecode(var.dedup_key)), [])

  # Only an array is JSON.
  dedup_key = try(jsonencode(tolist(jsondecode(var.dedup_key))), var.dedup_key)
}
