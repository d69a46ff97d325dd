"""An entry of a user's register of licences, which tests change."""

OWN = """\
- names: [ours/student-*]
  kind: model
  licence: Apache-2.0
  released: 2025-06
  commercial: allowed
  distillation: conditions
  note: within the company
  source: https://example.com/licence
  checked: 2026-11-21
"""
