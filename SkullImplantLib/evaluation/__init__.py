"""How good an implant is: the metrics of one case, and tables over a cohort."""
