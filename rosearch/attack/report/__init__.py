"""Results of attacks: records, rates, differences between texts, and their HTML page."""
