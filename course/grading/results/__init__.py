"""What a run writes: records, grades, exports, feedback pages, the instructor's report."""
