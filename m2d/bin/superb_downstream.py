"""s3prl's run_downstream with our upstreams (m2d_local, m2d_logmel, ...); its options, an unmodified s3prl."""

from m2d.superb.downstream import main

if __name__ == "__main__":
    main()
