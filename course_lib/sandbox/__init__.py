"""A learner's code in a process of its own, with limits in CPU time. It knows no exercise."""

MARK = "COURSE_CHECK"  # a name in the environment of that process and of all that it starts
