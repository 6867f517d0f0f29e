"""Live signals: carbon intensity and price by source and region, measured power, and what is known when."""
