"""The plan of a job: what will be read, cut, labelled and written, before anything is started."""
