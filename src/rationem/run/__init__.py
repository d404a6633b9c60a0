"""From a configuration to a run.

``prepare``    task and sets; ``task_resolution`` the task from its name and columns; ``defaults`` settings left open
``preflight``  what is checked before a run; ``trust`` what a run names outside itself; ``identity`` its base model
``launch``     run, resume, or find it finished; ``stages`` of its overall bar; ``refit`` old trials, trained on again
``publish``    model/ with the judge's ``card``
"""
