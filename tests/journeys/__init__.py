"""The journeys of people, end to end, on a real platform."""
