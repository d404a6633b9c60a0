"""The M-step: weighted sequence likelihood on a subclass of transformers' Trainer.

    loss = - (1 / N) sum_{i in step} w_i sum_t log pi(c_it | x_i, c_i<t; theta)

c_i is the kept completion (rationale, answer, end-of-turn token), N the number of samples in the optimizer step:
never the number of tokens, nor the sum of weights. So a step's gradient does not depend on how it is cut into
micro-batches or dealt to processes. The prompt is always forward(x_i) and carries no loss.

``settings`` says how, ``rows`` what, ``order`` when and where, ``objective`` the loss, ``trainer`` the steps,
``parallel`` several processes, ``m_step`` the whole of it, ``launcher`` the same in processes of its own (``worker``).
"""

from rationem.sft.m_step import SupervisedMStep
from rationem.sft.settings import Lora, Training

__all__ = ["Lora", "SupervisedMStep", "Training"]
