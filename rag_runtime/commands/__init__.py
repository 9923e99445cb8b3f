"""What Deployments, Jobs, CronJobs and people run."""
