"""SUPERB through an unmodified s3prl: our upstreams, its command line, and a runner of its tasks.

`m2d.superb.register()` puts the upstreams on s3prl's hub; importing this package changes nothing.
"""

from m2d.superb.registration import register

__all__ = ["register"]
