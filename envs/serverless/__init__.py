"""`autoscaler/Serverless-v0`: functions whose containers come and go on a pool of nodes that goes to zero."""
