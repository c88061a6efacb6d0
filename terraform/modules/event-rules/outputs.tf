output "dedup_key" {
  description = "What identifies an event: a JSON Pointer, a JSON array of pointers (written without white space), `attribute:NAME` or `content`."
  value       = local.dedup_key
}

output "conflict_ignore" {
  description = "Sorted list, without duplicates, of JSON Pointers to the members that `ingest-fn` ignores when it compares two bodies."
  value       = sort(distinct(var.conflict_ignore))
}
