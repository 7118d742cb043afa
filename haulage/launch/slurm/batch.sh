#!/bin/bash
# Starts one slot of Haulage; sbatch reads it from its standard input.
unset LC_ALL
export HAULAGE_SLOT="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
export HAULAGE_SLOT_START="${SLURM_RESTART_COUNT:-0}"
export HAULAGE_NODE="$SLURMD_NODENAME"
@modules@
@prologue@
exec @command@
