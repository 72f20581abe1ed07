"""Job files: what a user may set, and how a YAML file becomes one frozen, checked value.

A section a module. Nothing here knows a task, a model or a file of data: the class of a task's own
options is handed in. Import from the modules: tasks need `section` alone, and nothing that reads
files.
"""
