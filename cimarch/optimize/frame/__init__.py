"""What every method has around it: the model as a file and as layers, the options, the run that can
be stopped, the measures before and after, and the record.
"""
