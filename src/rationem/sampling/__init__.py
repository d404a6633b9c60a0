"""The E-step: sampling, grading, and selection of the kept set.

``schemes``          proposals and plans: rejection sampling, STaR, PPS; ``selectors`` which accepted trials are kept
``trials``           one request -> one trial: prompt, seed, grade
``draw``             requests -> trials in the ledger, by ``rounds`` (batches) or ``refill`` (single requests)
``unlabelled``       prompts -> drafts in memory, for items without y*; ``batches`` what it shares with ``rounds``
``selection``        an E-step's trials -> kept set and states; ``training_set`` the same, read from outside a run
``likelihoods``      drawn tokens scored again under another prompt; ``posterior`` exact draws by enumeration
``hint_leakage``     phrases that mention the hint, and words copied from it
"""
