"""SUPERB (PR, KS, IC, SID, ER) through an unmodified s3prl.

After `import m2d.superb`, s3prl knows our upstreams, whichever of the two is imported first:
`s3prl.nn.S3PRLUpstream("m2d_local", "exp/TAG/model")`.
"""

from m2d.superb.registration import watch

watch()
