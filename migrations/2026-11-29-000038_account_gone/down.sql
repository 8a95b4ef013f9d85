DELETE FROM account WHERE gone;
ALTER TABLE account DROP COLUMN gone;
