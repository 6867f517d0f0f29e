"""GPU clusters that replay traces of jobs: the codec, the simulator and the Gymnasium environment."""
