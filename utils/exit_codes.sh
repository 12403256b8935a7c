# shellcheck shell=bash disable=SC2034
# The exit codes of ours that mean something; Python knows the first as os.EX_TEMPFAIL.
EX_TEMPFAIL=75  # stopped in order; the same command goes on where it was
DONE_BEFORE=3   # of mark.py: the stage has nothing to do
