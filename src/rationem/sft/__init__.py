"""The M-step: weighted sequence likelihood on a subclass of transformers' Trainer.

    loss = - (1 / N) sum_{i in step} w_i sum_t log pi(c_it | x_i, c_i<t; theta)

c_i is the kept completion (rationale, answer, end-of-turn token). N is the number of samples in the optimizer step,
never the number of tokens or the sum of weights, so a step's gradient does not depend on micro-batches or processes.
The prompt is always forward(x_i) and has no loss.

``settings`` holds the hyperparameters, ``rows`` the token ids, ``order`` the order of samples, ``objective`` the loss,
``trainer`` the optimizer steps, ``parallel`` DDP and FSDP2. ``m_step`` puts them together in this process; ``launcher``
runs the same in child processes (``worker``). The settings load no torch.
"""

from rationem.sft.settings import Lora, Training

__all__ = ["Lora", "Training"]
