"""The sandbox: a worker pool, the fork server behind it, and the processes of one submission.

grader -- worker_pool -- fork_server -- grader -- worker (the student's code)
"""
