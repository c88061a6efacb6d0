# Settings of the stack `dev`. README.md describes all variables. For another stack, copy this file and change `stage`.
region = "sa-east-1"
stage  = "dev"
