-- How far the gateway's clock was ahead of the server's when it last described itself, in milliseconds.
ALTER TABLE gateways ADD COLUMN clock_ahead_ms INTEGER;
