"""Rules that say how long idle containers are kept, one file each: what policies of Serverless-v0 are compared with."""
