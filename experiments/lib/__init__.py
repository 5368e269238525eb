"""What the scripts share: how results are written, machines described, work timed, pictures taken."""
