-- How the CSMS has spelled a token of the local authorization list; NULL: in lower case, or stored before this column.
ALTER TABLE local_list ADD COLUMN spelling TEXT;
