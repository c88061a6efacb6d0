variable "dedup_key" {
  description = "What identifies an event: a JSON Pointer, a JSON array of 2 to 8 pointers, `attribute:NAME` or `content`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^(content$|attribute:|/|[ \\t\\r\\n]*\\[)", var.dedup_key))
    error_message = "dedup_key must be a JSON Pointer such as /event_id, a JSON array of 2 to 8 JSON Pointers, attribute:NAME or content. It is ${jsonencode(var.dedup_key)}."
  }

  validation {
    condition     = !startswith(var.dedup_key, "/") || can(regex(local.pointer_form, var.dedup_key))
    error_message = "dedup_key, ${jsonencode(var.dedup_key)}, must be a JSON Pointer (RFC 6901): ~ may occur only in ~0 and ~1."
  }

  validation {
    condition = !startswith(var.dedup_key, "attribute:") || alltrue([
      can(regex("^attribute:[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$", var.dedup_key)),
      !can(regex("(?i)^attribute:(aws|amazon)\\.", var.dedup_key)),
      length(var.dedup_key) <= length("attribute:") + 256,
    ])
    error_message = "dedup_key, ${jsonencode(var.dedup_key)}, must name a message attribute that SQS accepts: 1 to 256 letters, digits, _, - and .; no . at the start, at the end or after another .; and no AWS. or Amazon. as a prefix."
  }

  # jsondecode replaces an unpaired surrogate by U+FFFD, but ingest-fn refuses it.
  validation {
    condition = !can(regex("^[ \\t\\r\\n]*\\[", var.dedup_key)) || try(alltrue([
      for part in jsondecode(var.dedup_key) : startswith(jsonencode(part), "\"") && !strcontains(part, "\ufffd")
    ]), false)
    error_message = join(" ", concat(["dedup_key must be a valid JSON array of strings, and is ${var.dedup_key}."], [
      for index, part in try(jsondecode(var.dedup_key), []) : "Element ${index + 1}, ${jsonencode(part)}, is not a string."
      if !startswith(jsonencode(part), "\"")
    ]))
  }

  validation {
    condition     = try(contains(range(2, 9), length(tolist(jsondecode(var.dedup_key)))), true)
    error_message = "dedup_key must have 2 to 8 JSON Pointers, but has ${try(length(jsondecode(var.dedup_key)), 0)}. A single pointer needs no array."
  }

  validation {
    condition = alltrue([for part in try(tolist(jsondecode(var.dedup_key)), []) : can(regex(local.pointer_form, part))])
    error_message = join(" ", concat(["dedup_key must contain JSON Pointers (RFC 6901), which start with / and have ~ only in ~0 and ~1."], [
      for index, part in try(tolist(jsondecode(var.dedup_key)), []) : "Element ${index + 1}, ${jsonencode(part)}, is not one."
      if !can(regex(local.pointer_form, part))
    ]))
  }

  validation {
    condition = length(flatten([
      for index, outer in try(tolist(jsondecode(var.dedup_key)), []) : [
        for other, inner in jsondecode(var.dedup_key) : true if index != other && try(outer != "" && startswith("${inner}/", "${outer}/"), false)
      ]
    ])) == 0
    error_message = join(" ", flatten(["dedup_key must not contain the same pointer twice, or a pointer to a value inside another one, because each part of an event id is a single string or integer.", [
      for index, outer in try(tolist(jsondecode(var.dedup_key)), []) : [
        for other, inner in jsondecode(var.dedup_key) : "Element ${index + 1}, ${outer}, is the same as element ${other + 1}, ${inner}, or contains it."
        if index != other && try(outer != "" && startswith("${inner}/", "${outer}/"), false)
      ]
    ]]))
  }
}

variable "conflict_ignore" {
  description = "JSON Pointers to members that `ingest-fn` ignores when it compares two bodies."
  type        = list(string)
  nullable    = false

  validation {
    condition = !contains(var.conflict_ignore, "")
    error_message = join(" ", concat(["conflict_ignore must not contain an empty pointer, because it would ignore the whole body."], [
      for index, pointer in var.conflict_ignore : "Element ${index + 1} is empty." if pointer == ""
    ]))
  }

  validation {
    condition = alltrue([for pointer in var.conflict_ignore : pointer == "" || can(regex(local.pointer_form, pointer))])
    error_message = join(" ", concat(["conflict_ignore must contain JSON Pointers (RFC 6901), which start with / and have ~ only in ~0 and ~1."], [
      for index, pointer in var.conflict_ignore : "Element ${index + 1}, ${jsonencode(pointer)}, is not one."
      if pointer != "" && !can(regex(local.pointer_form, pointer))
    ]))
  }

  validation {
    condition = length(flatten([
      for outer in var.conflict_ignore : [for inner in var.conflict_ignore : true if try(outer != "" && startswith(inner, "${outer}/"), false)]
    ])) == 0
    error_message = join(" ", flatten(["conflict_ignore must not contain a pointer to a value inside another member of the list, which is ignored as a whole.", [
      for outer in var.conflict_ignore : [
        for index, inner in var.conflict_ignore : "Element ${index + 1}, ${inner}, is inside ${outer}."
        if try(outer != "" && startswith(inner, "${outer}/"), false)
      ]
    ]]))
  }

  validation {
    condition = length(flatten([
      for pointer in var.conflict_ignore : [
        for part in local.dedup_key_parts : true if try(pointer != "" && startswith("${part}/", "${pointer}/"), false)
      ]
    ])) == 0
    error_message = join(" ", flatten(["conflict_ignore must not contain a part of dedup_key or an object around one.", [
      for index, pointer in var.conflict_ignore : [
        for part in local.dedup_key_parts : "Element ${index + 1}, ${pointer}, is or contains ${part}."
        if try(pointer != "" && startswith("${part}/", "${pointer}/"), false)
      ]
    ]]))
  }

  # The length in Base64 counts bytes: 4 characters for 3 bytes.
  validation {
    condition     = length(base64encode("${local.dedup_key}${jsonencode(var.conflict_ignore)}")) <= 4000
    error_message = "conflict_ignore and dedup_key must have at most 3000 bytes together: Lambda allows 4 KB for all environment variables."
  }
}
