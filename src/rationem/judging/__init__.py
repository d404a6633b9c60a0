"""Rating new items with a trained judge: ``Judge.load(run).rate(items)``, and ``rate_file`` for files of any length.

item -> questions.cases -> asking.ask (by sampling.unlabelled) -> verdicts.verdict -> Rating
DataFrame -> frames.records -> the same; fitted.fit trains and returns a Run, which has its judge
file -> source.scan -> stream.rate_file (in chunks, through job.Job) -> file
"""
