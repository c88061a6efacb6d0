# Tests of the module event-rules. Each run that expects a failure breaks one validation, because Terraform does not tell which
# validation of a variable failed.

variables {
  dedup_key       = "/event_id"
  conflict_ignore = []
}

run "empty_key_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = ""
  }

  expect_failures = [var.dedup_key]
}

run "key_of_unknown_form_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "event_id"
  }

  expect_failures = [var.dedup_key]
}

run "key_with_text_after_content_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "content "
  }

  expect_failures = [var.dedup_key]
}

run "key_with_a_bad_escape_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "/a~2b"
  }

  expect_failures = [var.dedup_key]
}

run "key_with_a_tilde_at_its_end_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "/a/b~"
  }

  expect_failures = [var.dedup_key]
}

run "attribute_without_a_name_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "attribute:"
  }

  expect_failures = [var.dedup_key]
}

run "attribute_with_other_letters_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "attribute:event id"
  }

  expect_failures = [var.dedup_key]
}

run "attribute_that_begins_with_a_dot_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "attribute:.id"
  }

  expect_failures = [var.dedup_key]
}

run "attribute_that_ends_with_a_dot_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "attribute:id."
  }

  expect_failures = [var.dedup_key]
}

run "attribute_with_two_dots_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "attribute:event..id"
  }

  expect_failures = [var.dedup_key]
}

run "attribute_of_aws_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "attribute:Aws.id"
  }

  expect_failures = [var.dedup_key]
}

run "attribute_of_amazon_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "attribute:AMAZON.id"
  }

  expect_failures = [var.dedup_key]
}

run "attribute_of_257_letters_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "attribute:${join("", [for i in range(257) : "a"])}"
  }

  expect_failures = [var.dedup_key]
}

run "malformed_array_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/source\", \"/id\""
  }

  expect_failures = [var.dedup_key]
}

run "array_with_text_behind_it_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/source\", \"/id\"] x"
  }

  expect_failures = [var.dedup_key]
}

run "array_with_an_object_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/source\", {}]"
  }

  expect_failures = [var.dedup_key]
}

run "array_with_a_null_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/source\", null]"
  }

  expect_failures = [var.dedup_key]
}

# Terraform would replace the half by another character.
run "array_with_half_a_surrogate_pair_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/source\", \"/\\ud800\"]"
  }

  expect_failures = [var.dedup_key]
}

run "empty_array_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[]"
  }

  expect_failures = [var.dedup_key]
}

run "array_of_one_pointer_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/id\"]"
  }

  expect_failures = [var.dedup_key]
}

run "array_of_nine_pointers_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/1\",\"/2\",\"/3\",\"/4\",\"/5\",\"/6\",\"/7\",\"/8\",\"/9\"]"
  }

  expect_failures = [var.dedup_key]
}

run "array_with_an_empty_pointer_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/source\", \"\"]"
  }

  expect_failures = [var.dedup_key]
}

run "array_with_a_malformed_pointer_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/source\", \"/a~2b\"]"
  }

  expect_failures = [var.dedup_key]
}

run "array_with_a_repeated_pointer_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/source\", \"/id\", \"/source\"]"
  }

  expect_failures = [var.dedup_key]
}

run "pointer_inside_an_earlier_one_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/source\", \"/source/id\"]"
  }

  expect_failures = [var.dedup_key]
}

run "pointer_around_an_earlier_one_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/source/id\", \"/source\"]"
  }

  expect_failures = [var.dedup_key]
}

run "pointer_with_escapes_is_accepted" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "/a~0b/~1c/0"
  }
}

run "pointer_to_an_empty_name_is_accepted" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "/"
  }
}

run "content_is_accepted" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "content"
  }
}

run "attribute_with_dots_is_accepted" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "attribute:event.id_1-a.AWS"
  }
}

run "attribute_of_256_letters_is_accepted" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "attribute:${join("", [for i in range(256) : "a"])}"
  }
}

run "eight_pointers_are_accepted" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "[\"/1\",\"/2\",\"/3\",\"/4\",\"/5\",\"/6\",\"/7\",\"/8\"]"
  }
}

run "white_space_in_an_array_does_not_matter" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key = "\t[ \"/a b\",\r\n\"/a\" ]\n"
  }

  assert {
    condition     = output.dedup_key == "[\"/a b\",\"/a\"]"
    error_message = "The key is ${output.dedup_key}."
  }
}

run "ignoring_the_whole_body_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key       = "content"
    conflict_ignore = [""]
  }

  expect_failures = [var.conflict_ignore]
}

run "ignored_member_without_a_slash_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    conflict_ignore = ["/sent_at", "attempt"]
  }

  expect_failures = [var.conflict_ignore]
}

run "ignored_member_with_a_bad_escape_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    conflict_ignore = ["/sent~at"]
  }

  expect_failures = [var.conflict_ignore]
}

run "null_as_ignored_member_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    conflict_ignore = [null]
  }

  expect_failures = [var.conflict_ignore]
}

run "ignored_member_inside_another_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    conflict_ignore = ["/trace", "/sent_at", "/trace/id"]
  }

  expect_failures = [var.conflict_ignore]
}

run "ignoring_the_dedup_key_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    conflict_ignore = ["/sent_at", "/event_id"]
  }

  expect_failures = [var.conflict_ignore]
}

run "ignoring_a_part_of_the_dedup_key_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key       = "[\"/source\", \"/id\"]"
    conflict_ignore = ["/id"]
  }

  expect_failures = [var.conflict_ignore]
}

run "ignoring_an_object_around_the_key_is_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key       = "/detail/id"
    conflict_ignore = ["/detail"]
  }

  expect_failures = [var.conflict_ignore]
}

run "ignored_members_over_3000_bytes_are_refused" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    conflict_ignore = [for i in range(600) : "/${i}"]
  }

  expect_failures = [var.conflict_ignore]
}

# Two of them share only letters with the key. The last one is inside the key, so no body that has the key has this member.
run "other_members_can_be_ignored" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key       = "/detail/identity"
    conflict_ignore = ["/detail/id", "/detail/identity2", "/detail/identity/x"]
  }
}

run "repeated_ignored_members_count_once" {
  command = plan

  module {
    source = "./modules/event-rules"
  }

  variables {
    dedup_key       = "attribute:id"
    conflict_ignore = ["/traces", "/trace", "/traces"]
  }

  assert {
    condition     = output.conflict_ignore == tolist(["/trace", "/traces"])
    error_message = "The ignored members must be sorted, without duplicates."
  }
}
