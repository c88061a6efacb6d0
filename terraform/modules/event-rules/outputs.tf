output "dedup_key" {
  description = "What identifies an event: a JSON Pointer, a JSON array of pointers without white space, `attribute:NAME` or `content`."
  value       = local.dedup_key
}

output "conflict_ignore" {
  description = "JSON Pointers to members of a body that do not count when two bodies are compared: sorted, without duplicates."
  value       = sort(distinct(var.conflict_ignore))
}
