"""What never lives beside a student's code: how exercises are declared, judged and told."""
