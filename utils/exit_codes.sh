# shellcheck shell=bash disable=SC2034
# The exit codes that mean something, as sysexits.h and Python's os.EX_* number them.
EX_TEMPFAIL=75  # stopped cleanly; the same command resumes
EX_DATAERR=65   # the folder holds work of other options or data (OtherRunError)
DONE_BEFORE=3   # of mark.py: the stage has nothing to do
